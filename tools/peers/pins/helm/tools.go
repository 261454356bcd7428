//go:build tools

// Package helm pins the Helm that renders our chart in a test; tools/peers/helm builds its cmd/helm.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
