"""A pod and the world around it as two network namespaces of this process: made, used by agents, removed."""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def sh(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}")
    return done.stdout


class Agent:
    """agent.py inside a namespace, as a user and group."""

    def __init__(self, namespace, uid=0, gid=0):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
             sys.executable, os.path.join(HERE, "agent.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("an agent ended")
        return json.loads(line)

    def connect(self, address, port):
        return self.ask(connect=[address, port])

    def stop(self):
        self.process.kill()
        self.process.wait()


class Network:
    """The pod has eth0 (10.99.0.2, fd99::2) and net1 (10.98.0.2); the world is at .1 and ::1 of each, and beyond:
    10.200.0.1 and fd98::1, as a cluster's services are."""

    def __init__(self):
        self.pod, self.world = (f"heddle-it{os.getpid()}-{name}" for name in ("pod", "world"))
        self.agents = []

    def __enter__(self):
        for name in (self.pod, self.world):
            sh("ip", "netns", "add", name)
            self.inside(name, "ip", "link", "set", "lo", "up")
        for link, four, six in (("eth0", "10.99.0", "fd99:"), ("net1", "10.98.0", None)):
            self.inside(self.pod, "ip", "link", "add", link, "type", "veth", "peer", "name", link, "netns", self.world)
            for name, last in ((self.world, 1), (self.pod, 2)):
                self.inside(name, "ip", "addr", "add", f"{four}.{last}/24", "dev", link)
                if six:
                    self.inside(name, "ip", "addr", "add", f"{six}:{last}/64", "dev", link, "nodad")
                self.inside(name, "ip", "link", "set", link, "up")
        for address in ("10.200.0.1/32", "fd98::1/128"):
            self.inside(self.world, "ip", "addr", "add", address, "dev", "lo")
        self.inside(self.pod, "ip", "route", "add", "default", "via", "10.99.0.1")
        self.inside(self.pod, "ip", "-6", "route", "add", "default", "via", "fd99::1")
        return self

    def __exit__(self, *_):
        for agent in self.agents:
            agent.stop()
        for name in (self.pod, self.world):
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)

    def inside(self, namespace, *argv):
        return sh("ip", "netns", "exec", namespace, *argv)

    def agent(self, namespace, uid=0, gid=0):
        self.agents.append(Agent(namespace, uid, gid))
        return self.agents[-1]
