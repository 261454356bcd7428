//go:build tools

// Package gateway_api pins the Gateway API, whose CRDs and manifests the tests apply and whose conformance suite they run.
package gateway_api

import _ "sigs.k8s.io/gateway-api/conformance"
