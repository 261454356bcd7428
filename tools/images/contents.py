"""What stands in each image: programs, users, and the Debian files that they need."""

import dataclasses
import os

XTABLES = "/usr/lib/x86_64-linux-gnu/xtables"
# Archives of these packages are inside heddle-proxy; what the linker took of each is not told apart.
STATIC = ["libabsl-dev", "libc-ares-dev", "libevent-dev", "libgcc-12-dev", "libnghttp2-dev", "libprotobuf-dev", "libre2-dev",
          "libstdc++-12-dev", "libyaml-cpp-dev", "node-llhttp", "zlib1g-dev"]


@dataclasses.dataclass
class Image:
    name: str
    title: str
    uid: int
    user: str
    programs: list                                    # ours, in /usr/local/bin; the first is the entry point
    debian: list = dataclasses.field(default_factory=list)   # (path in Debian, path in the image)
    links: dict = dataclasses.field(default_factory=dict)    # path in the image: where it points
    static: list = dataclasses.field(default_factory=list)   # Debian packages linked in
    crates: list = dataclasses.field(default_factory=list)   # Rust crates whose C++ is linked in
    limit: int = 0                                    # of its compressed layers, bytes


def xtables():
    """The older iptables with what heddle-proxy's rules say, for kernels without nf_tables."""
    modules = [f"libxt_{name}.so" for name in ("REDIRECT", "TPROXY", "conntrack", "multiport", "owner", "standard", "tcp", "udp")]
    out = [("/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-legacy-multi")]
    return out + [(os.path.join(XTABLES, name), os.path.join(XTABLES, name)) for name in modules]


IMAGES = [
    Image(name="heddle-proxy", title="The sidecar of the Heddle service mesh", uid=1337, user="heddle",
          programs=["heddle-proxy"], debian=[("/usr/sbin/nft", "/usr/sbin/nft"), *xtables()],
          links={f"/usr/sbin/{tool}-{what}": "xtables-legacy-multi" for tool in ("iptables", "ip6tables")
                 for what in ("restore", "save")},
          static=STATIC, crates=["boring-sys"], limit=15_000_000),
    Image(name="heddle-control", title="The control plane of the Heddle service mesh", uid=1338, user="heddle",
          programs=["heddle-control", "heddlectl"], limit=60_000_000),
]
