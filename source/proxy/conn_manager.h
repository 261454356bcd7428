// What an HTTP connection manager does to every message on its way, whatever the route: clean what
// a client must not say, write what the next hop may rely on. Pure functions over heads. Source:
// Envoy, source/common/http/conn_manager_utility.cc; proxy_semantics.md 2.8.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "source/base/clock.h"
#include "source/config/http.h"
#include "source/filter/filter.h"
#include "source/http/headers.h"
#include "source/net/address.h"
#include "source/net/transport.h"
#include "source/observe/access_record.h"

namespace heddle::proxy {

// What is the same for every request of one connection, made once.
struct ClientFacts {
  ClientFacts(const config::HttpConnectionManager& config, const net::Address& remote,
              const net::PeerInfo& peer);
  net::Address remote;
  std::string remote_ip;  // text, empty when not IP
  bool secure = false;
  bool internal = false;            // see InternalAddress
  bool client_certificate = false;  // presented and verified
  std::string xfcc;  // this hop's x-forwarded-client-cert element; empty when not wanted
};

// Whether an address counts as inside: listed, and nobody is by default (Envoy since 1.33).
bool InternalAddress(const config::InternalAddresses& internal, const net::Address& address);

// The text of an x-forwarded-client-cert element, e.g. `By=spiffe://a;Hash=..;URI=spiffe://b`.
std::string ClientCertElement(const config::HttpConnectionManager& config,
                              const net::PeerInfo& peer);

// Cleans and completes a request's head, and fills in record.downstream_remote. Null: go on; else
// the reply, which ends an HTTP/1 connection where the request itself was at fault (status 400).
std::unique_ptr<filter::Reply> PrepareRequest(const config::HttpConnectionManager& config,
                                              const ClientFacts& client, base::Random& random,
                                              http::RequestHead& head,
                                              observe::AccessRecord& record);

// The same for a response, the last thing before it goes down. `date` is used when the response has
// none.
void PrepareResponse(const config::HttpConnectionManager& config, const http::RequestHead& request,
                     absl::string_view date, http::ResponseHead& head);

// Removes hop-by-hop fields (RFC 9110 7.6.1). What `connection` nominates and `te` are the HTTP/1
// codec's.
void StripHopByHop(http::Headers& headers);

}  // namespace heddle::proxy
