// The webhook server on loopback: TLS, a certificate swapped under it, and clients that misbehave.
#include "control_plane/admit/server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/identity/ca.h"

namespace {

using heddle::admit::Certificate;
using heddle::admit::Server;
namespace identity = heddle::identity;

constexpr char kReview[] = R"({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
    "request": {"uid": "u", "operation": "DELETE"}})";

std::string TempDir() {
  const char* root = ::getenv("TEST_TMPDIR");
  std::string pattern = absl::StrCat(root != nullptr ? root : "/tmp", "/admit.XXXXXX");
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

// An authority with its bundle in a file, as a caBundle.
struct Authority {
  std::string dir = TempDir();
  std::unique_ptr<identity::CertificateAuthority> ca;

  Authority() {
    auto opened = identity::CertificateAuthority::Open({.dir = dir}, absl::Now());
    REQUIRE(opened.ok());
    ca = *std::move(opened);
  }
  Certificate Issue() const {
    auto issued =
        ca->Issue({.trust_domain = "cluster.local", .ns = "heddle-system", .service_account = "x"},
                  {.dns = {"heddle-control.heddle-system.svc"}, .ip = {"127.0.0.1"}}, absl::Now());
    REQUIRE(issued.ok());
    return {.chain = issued->certificate.pem, .key = issued->key_pem};
  }
};

std::unique_ptr<Server> Start(heddle::admit::ServerOptions options) {
  ::signal(SIGPIPE, SIG_IGN);  // as heddle-control does
  options.listen = "127.0.0.1:0";
  auto server = Server::Start(std::move(options));
  INFO(server.status());
  REQUIRE(server.ok());
  return *std::move(server);
}

struct Reply {
  CURLcode result = CURLE_OK;
  long code = 0;
  std::string body;
};

Reply Post(const Server& server, const Authority& trusted, const std::string& body,
           const std::string& path = "/validate") {
  Reply out;
  CURL* curl = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, "content-type: application/json");
  const std::string url =
      absl::StrCat("https://heddle-control.heddle-system.svc:", server.port(), path);
  const std::string address =
      absl::StrCat("heddle-control.heddle-system.svc:", server.port(), ":127.0.0.1");
  const std::string bundle = trusted.ca->bundle_path();
  curl_slist* resolve = curl_slist_append(nullptr, address.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve);
  curl_easy_setopt(curl, CURLOPT_CAINFO, bundle.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
  if (!body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out.body);
  curl_easy_setopt(
      curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* into) {
        static_cast<std::string*>(into)->append(data, size * count);
        return size * count;
      });
  out.result = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out.code);
  curl_slist_free_all(headers);
  curl_slist_free_all(resolve);
  curl_easy_cleanup(curl);
  return out;
}

int Connect(const Server& server) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(server.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

// Whether the other side ends the connection (within a minute), whatever it sends before.
bool Ends(int fd) {
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0) {
  }
  const bool ended = n == 0 || errno == ECONNRESET;
  ::close(fd);
  return ended;
}

SCENARIO("reviews are answered over TLS, by the certificate of the moment") {
  const Authority first;
  const Authority second;
  const auto server = Start({.certificate = first.Issue()});
  Reply reply = Post(*server, first, kReview);
  INFO(curl_easy_strerror(reply.result));
  CHECK(reply.code == 200);
  CHECK(
      reply.body ==
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"allowed":true,"uid":"u"}})");
  CHECK(Post(*server, second, kReview).result == CURLE_PEER_FAILED_VERIFICATION);

  REQUIRE(server->SetCertificate(second.Issue()).ok());
  CHECK(Post(*server, second, kReview).code == 200);
  CHECK(Post(*server, first, kReview).result == CURLE_PEER_FAILED_VERIFICATION);

  Certificate mixed = first.Issue();
  mixed.key = second.Issue().key;
  CHECK(!server->SetCertificate(mixed).ok());
  CHECK(!server->SetCertificate({.chain = "x", .key = mixed.key}).ok());
  CHECK(!server->SetCertificate({.chain = mixed.chain, .key = ""}).ok());
  CHECK(Post(*server, second, kReview).code == 200);
}

SCENARIO("the chain that follows the certificate is sent too") {
  const Authority authority;
  Certificate certificate = authority.Issue();
  certificate.chain += authority.ca->Bundle();
  const auto server = Start({.certificate = certificate});
  CHECK(Post(*server, authority, kReview).code == 200);
}

SCENARIO("what is not a review of bearable size is told so") {
  const Authority authority;
  const auto server = Start({.certificate = authority.Issue(), .max_body = 100 * 1024});
  CHECK(Post(*server, authority, "").code == 405);
  CHECK(Post(*server, authority, "{").code == 400);
  CHECK(Post(*server, authority, kReview, "/").code == 404);
  CHECK(Post(*server, authority, kReview + std::string(90 * 1024, ' ')).code == 200);
  const Reply reply = Post(*server, authority, kReview + std::string(200 * 1024, ' '));
  // The server may be gone before the client has said everything.
  CHECK((reply.code == 413 || reply.result != CURLE_OK));
  CHECK(Post(*server, authority, kReview).code == 200);
}

SCENARIO("clients that say nothing, or something else, or are too many, are sent away") {
  const Authority authority;
  const auto server = Start({.certificate = authority.Issue(),
                             .limits = {.max_connections = 4, .longest = absl::Seconds(3)}});
  const int plain = Connect(*server);
  const std::string request = "POST /validate HTTP/1.1\r\nhost: x\r\n\r\n";
  CHECK(::send(plain, request.data(), request.size(), MSG_NOSIGNAL) > 0);
  CHECK(Ends(plain));
  std::vector<int> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(Connect(*server));
  for (const int fd : silent) CHECK(Ends(fd));
  // The server sees the end of its side a moment after we saw ours.
  Reply reply;
  for (int i = 0; i < 100 && reply.code != 200; ++i) reply = Post(*server, authority, kReview);
  CHECK(reply.code == 200);
}

SCENARIO("a server with connections open can be stopped") {
  const Authority authority;
  auto server = Start({.certificate = authority.Issue()});
  const int one = Connect(*server);
  const int two = Connect(*server);
  CHECK(Post(*server, authority, kReview).code == 200);
  server.reset();
  CHECK(Ends(one));
  CHECK(Ends(two));
}

SCENARIO("a server without a good certificate or address does not start") {
  const Authority authority;
  CHECK(!Server::Start({.listen = "127.0.0.1:0"}).ok());
  CHECK(!Server::Start({.listen = "nowhere", .certificate = authority.Issue()}).ok());
}

}  // namespace
