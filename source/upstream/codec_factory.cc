#include "source/upstream/codec_factory.h"

#include "source/http/h1/codec.h"
#include "source/http/h2/codec.h"

namespace heddle::upstream {

std::unique_ptr<http::ClientCodec> MakeUpstreamCodec(http::Protocol protocol,
                                                     const config::Cluster& config,
                                                     net::Connection& connection,
                                                     http::ClientEvents* events) {
  const config::UpstreamHttp& http = config.http;
  if (protocol == http::Protocol::kHttp2) {
    http::h2::Options options;
    options.max_concurrent_streams = http.http2.max_concurrent_streams;
    options.initial_stream_window = http.http2.initial_stream_window;
    options.initial_connection_window = http.http2.initial_connection_window;
    options.hpack_table_size = http.http2.hpack_table_size;
    options.allow_connect = http.http2.allow_connect;
    options.stream_error_on_invalid = http.http2.stream_error_on_invalid;
    options.max_headers_count = http.common.max_headers_count;
    options.output_limit = config.buffer_limit;
    return http::h2::MakeClientCodec(options, &connection.out(), events);
  }
  http::h1::Options options;
  options.accept_http_10 = true;  // of upstreams, always
  options.allow_chunked_length = http.http1.allow_chunked_length;
  options.enable_trailers = http.http1.enable_trailers;
  options.max_headers_count = http.common.max_headers_count;
  options.secure = connection.peer().tls;
  return http::h1::MakeClientCodec(options, &connection.out(), events);
}

}  // namespace heddle::upstream
