//go:build tools

// Package h2spec pins the HTTP/2 conformance suite; tools/peers/h2spec builds its command.
package h2spec

import _ "github.com/summerwind/h2spec/cmd/h2spec"
