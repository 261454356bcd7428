//go:build tools

// Package jaeger pins the Jaeger that the trace tests query; tools/peers/jaeger builds its cmd/all-in-one.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
