# Runs Swift in one place: makes the rings for the given ports, then starts the account, container, object and proxy server.
#
# usage: s3-server.py ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT      (configuration in /etc/swift, one disk at /srv/disk)
# One program and not seven: loading Swift takes longer than all the work.
import os
import sys

from swift.common.ring import RingBuilder
from swift.common.wsgi import run_wsgi

os.makedirs("/srv/disk", exist_ok=True)
services = dict(zip(("account", "container", "object"), map(int, sys.argv[1:])))
for name, port in services.items():
    builder = RingBuilder(2, 1, 1)
    address = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"region": 1, "zone": 1, "device": "disk", "weight": 1, "meta": "", **address})
    builder.rebalance()
    builder.get_ring().save(f"/etc/swift/{name}.ring.gz")

children = {}
for name in (*services, "proxy"):
    pid = os.fork()
    if pid == 0:
        sys.exit(run_wsgi(f"/etc/swift/{name}-server.conf", f"{name}-server", verbose=True))
    children[pid] = name

pid, status = os.wait()
sys.exit(f"the {children[pid]} server ended with status {status}")
