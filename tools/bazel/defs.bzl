"""How this tree declares libraries, programs, tests and protos.

A library depends on what it includes. A program or test chooses one link flavour:

  link = "static"  Debian's static archives (and BoringSSL where //source/tls brings it). heddle-proxy and every test
                   of source/. Never gRPC, never OpenSSL.
  link = "grpc"    shared gRPC, Protobuf, Abseil, OpenSSL, libcurl. heddle-control, heddlectl and their tests.
                   Never BoringSSL.

Archives that a program does not use cost it nothing, so each flavour names all of its libraries at once.
"""

load("//tools/bazel:debian_libs.bzl", "ABSL_LIBS")

_ARCHIVES = [
    "protobuf",
    "nghttp2",
    "event_core",
    "event_extra",
    "event_pthreads",
    "cares",
    "re2",
    "yaml-cpp",
    "z",
] + ABSL_LIBS

# With --config=opt also libstdc++ and libgcc are archives; the sanitizers and everyday builds keep the shared ones.
_STATIC_LINKOPTS = (
    ["-Wl,-Bstatic", "-Wl,--start-group"] +
    ["-l" + lib for lib in _ARCHIVES] +
    select({
        "//tools/bazel:opt": ["-lstdc++", "-Wl,--icf=safe", "-static-libgcc"],
        "//conditions:default": [],
    }) +
    ["-Wl,--end-group", "-Wl,-Bdynamic", "-Wl,--as-needed", "-lpthread"]
)

_GRPC_LINKOPTS = ["-Wl,--as-needed"] + ["-l" + lib for lib in [
    "grpc++",
    "grpc",
    "gpr",
    "protobuf",
    "curl",
    "ssl",
    "crypto",
    "nghttp2",
    "event_core",
    "event_extra",
    "event_openssl",
    "event_pthreads",
    "cares",
    "re2",
    "yaml-cpp",
    "z",
    "pthread",
] + ABSL_LIBS] + ["-Wl,--no-as-needed"]

_FLAVOURS = {
    "grpc": _GRPC_LINKOPTS,
    "static": _STATIC_LINKOPTS,
}

# A test's own code is compiled for speed of compiling: its libraries are what is measured and released.
_TEST_COPTS = select({
    "//tools/bazel:opt": ["-O1"],
    "//tools/bazel:sanitizer": ["-O0"],
    "//conditions:default": [],
})

# Generated code is Protobuf's to check, and instrumented it takes longest of all to compile.
_GENERATED_COPTS = ["-w"] + select({
    "//tools/bazel:sanitizer": ["-fno-sanitize=all"],
    "//conditions:default": [],
})

def heddle_library(name, srcs = [], hdrs = [], deps = [], visibility = ["//visibility:public"], **kwargs):
    """A library of ours: includes are written from the root of the tree."""
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        linkstatic = True,
        visibility = visibility,
        **kwargs
    )

def heddle_binary(name, srcs = [], deps = [], link = "static", linkopts = [], visibility = ["//visibility:public"], **kwargs):
    """A program, linked in one of the two flavours."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        linkopts = linkopts + _FLAVOURS[link],
        linkstatic = True,
        visibility = visibility,
        **kwargs
    )

def heddle_test(name, srcs = [], deps = [], link = "static", size = "small", linkopts = [], **kwargs):
    """A Catch2 test; main comes from //tools/bazel:catch_main."""
    native.cc_test(
        name = name,
        srcs = srcs,
        deps = deps + ["//tools/bazel:catch_main"],
        copts = _TEST_COPTS,
        linkopts = linkopts + _FLAVOURS[link],
        linkstatic = True,
        size = size,
        **kwargs
    )

def heddle_fuzz_test(name, srcs = [], deps = [], corpus = [], link = "static", size = "small", **kwargs):
    """A parser's fuzz target: srcs define LLVMFuzzerTestOneInput.

    As a test it replays the corpus and then mutates it for a bounded number of runs with a plain driver, under
    whatever sanitizer the build has. With --config=fuzz it is a libFuzzer program.
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        deps = deps + select({
            "//tools/bazel:fuzz": [],
            "//conditions:default": ["//tools/bazel:fuzz_main"],
        }),
        linkopts = select({
            "//tools/bazel:fuzz": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }) + _FLAVOURS[link],
        linkstatic = True,
        size = size,
        data = corpus,
        args = ["$(rootpaths %s)" % c if c.startswith(":") or c.startswith("//") else "$(rootpath %s)" % c for c in corpus],
        tags = ["fuzz"],
        **kwargs
    )

def _check_package():
    if native.package_name().split("/")[0] != "api":
        fail("heddle_proto_library belongs under api/")

def heddle_proto_library(name, srcs, deps = [], grpc = False, visibility = ["//visibility:public"]):
    """Protobuf messages (and gRPC stubs) in C++.

    Protos import each other, and C++ includes them, by the path below api/: "envoy/config/core/v3/address.pb.h".
    Makes `name`, `name`_hdrs (for a target that stands for several of these), and with grpc = True also `name`_grpc with the service stubs, which only link = "grpc" programs can use.

    Args:
      name: the messages' cc_library.
      srcs: .proto files of this package.
      deps: other heddle_proto_library targets that these import. google/protobuf/*.proto needs none.
      grpc: whether to make stubs.
      visibility: of all targets made.
    """
    _check_package()
    protos = name + "_protos"
    native.filegroup(
        name = protos,
        srcs = srcs + [_sibling(dep, "_protos") for dep in deps],
        visibility = ["//visibility:public"],
    )
    stems = [src[:-len(".proto")] for src in srcs]
    locations = " ".join(["$(location %s)" % src for src in srcs])
    native.genrule(
        name = name + "_gen",
        srcs = srcs + [":" + protos],
        outs = [s + e for s in stems for e in [".pb.h", ".pb.cc"]],
        cmd = "/usr/bin/protoc -Iapi -I/usr/include --cpp_out=$(BINDIR)/api " + locations,
        message = "Generating messages",
    )
    native.filegroup(
        name = name + "_hdrs",
        srcs = [s + ".pb.h" for s in stems],
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = [s + ".pb.cc" for s in stems],
        hdrs = [s + ".pb.h" for s in stems],
        copts = _GENERATED_COPTS,
        features = ["-layering_check", "-parse_headers"],
        linkstatic = True,
        visibility = visibility,
        deps = deps + ["//api:include_root", "@debian//:protobuf"],
    )
    if not grpc:
        return
    native.genrule(
        name = name + "_grpc_gen",
        srcs = srcs + [":" + protos],
        outs = [s + e for s in stems for e in [".grpc.pb.h", ".grpc.pb.cc"]],
        cmd = "/usr/bin/protoc -Iapi -I/usr/include --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " +
              "--grpc_out=$(BINDIR)/api " + locations,
        message = "Generating stubs",
    )
    native.cc_library(
        name = name + "_grpc",
        srcs = [s + ".grpc.pb.cc" for s in stems],
        hdrs = [s + ".grpc.pb.h" for s in stems],
        copts = _GENERATED_COPTS,
        features = ["-layering_check", "-parse_headers"],
        linkstatic = True,
        visibility = visibility,
        deps = [":" + name, "@debian//:grpcpp"] + deps,
    )

def _sibling(label, suffix):
    """//a/b -> //a/b:b_protos, //a:c -> //a:c_protos."""
    if ":" in label:
        return label + suffix
    return label + ":" + label.split("/")[-1] + suffix
