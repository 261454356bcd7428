// The Gateway API whose CRDs and conformance manifests the tests apply; tools/peers/gateway-api takes the files, nothing is built.
module heddle.test/peers/gateway-api

go 1.24.0

require sigs.k8s.io/gateway-api v1.4.1
