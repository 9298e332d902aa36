"""Fetching: only where it may go, to the address that was checked, and never more or longer than allowed."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from index.errors import ReadError, TooLarge, UnsafeUrl
from index.read import discover, read_documents
from index.read.sandbox import Sandbox
from index.read.url import Page, fetch, is_public
from index.settings import Limits

LIMITS = Limits(url_timeout_s=60)  # only a hang reaches it
Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """A web server on loopback: what it answers by path, and what it was asked."""

    port: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # (Host header, path)

    def url(self, path: str, host: str = "news.test") -> str:
        return f"http://{host}:{self.port}{path}"

    def fetch(self, path: str, limits: Limits = LIMITS) -> Page:
        """A page of this site, the guard opened for its port and no other address."""
        return fetch(self.url(path), limits, resolve=self.resolve, allow=self.allow)

    def resolve(self, host: str, port: int) -> list[str]:
        return {"news.test": ["127.0.0.1"], "inside.test": ["10.0.0.1"]}[host]

    def allow(self, address: str, port: int) -> bool:
        return (address, port) == ("127.0.0.1", self.port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that hang up are what these tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.site.asked.append((self.headers["Host"], self.path))
        self.close_connection = True
        self.server.site.replies[self.path](self)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    server = _Server(("127.0.0.1", 0), _Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.site = Site(port=server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve()


def answer(body: bytes = b"", status: int = 200, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        own = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body)), **headers}
        for name, value in own.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def redirect(to: str, status: int = 302) -> Reply:
    return answer(status=status, Location=to)


# --- where it may go --------------------------------------------------------------------------------------

REFUSED = """0.0.0.0 0.1.2.3 :: 127.0.0.1 127.9.9.9 ::1
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12:3456::1 fec0::1
    169.254.0.1 fe80::1 fe80::1%eth0 169.254.169.254 fd00:ec2::254 100.100.100.200 192.0.0.192 100.64.0.1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:100.64.0.1 ::127.0.0.1 ::7f00:1
    64:ff9b::127.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1:: 2001:0:1::1
    198.18.0.1 192.0.2.1 203.0.113.1 240.0.0.1 255.255.255.255 2001:db8::1 100::1
    224.0.0.1 239.255.255.250 ff02::1 ff0e::1"""  # this host, private, link-local, metadata, mapped, gateways, special


@pytest.mark.parametrize("address", REFUSED.split())
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    for url in ("http://news.test/", "https://news.test/"):
        with pytest.raises(UnsafeUrl, match=r"news\.test leads to") as caught:
            fetch(url, LIMITS, resolve=lambda host, port: ["8.8.8.8", address])  # one of its addresses is enough
        assert address in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_a_public_address_is_allowed_on_the_ports_of_the_web_only(address: str) -> None:
    assert [port for port in (0, 22, 25, 80, 443, 3306, 8000, 8080, 11434) if is_public(address, port)] == [80, 443]


@pytest.mark.parametrize(
    "host",
    "localhost 127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 0 [::1] [::ffff:7f00:1] [::]".split(),
)
def test_no_way_of_writing_loopback_passes_with_the_systems_own_resolver(host: str) -> None:
    with pytest.raises(UnsafeUrl):
        fetch(f"http://{host}/", LIMITS)


NO_PAGE = """ftp://news.test/a file:///etc/passwd javascript:alert(1) data:text/html,x news.test/a //news.test/a
    http:///a http:news.test http://user@news.test/ http://ada:secret@news.test/ http://:@news.test/
    http://news.test:99999/ http://news.test:port/ http://news.test:-1/ http://[::1/ http://[nonsense]/
    http://news.test:8080/ http://news.test:0/ https://news.test:22/"""


@pytest.mark.parametrize("url", ["", *NO_PAGE.split()])
def test_an_address_that_is_no_plain_page_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UnsafeUrl) as caught:
        fetch(url, LIMITS, resolve=lambda host, port: ["8.8.8.8"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 300])
def test_a_host_that_cannot_exist_is_a_read_error(host: str) -> None:
    def resolve(name: str, port: int) -> list[str]:
        if name == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")  # without asking the network
        return [str(entry[4][0]) for entry in socket.getaddrinfo(name, port)]

    with pytest.raises(ReadError, match="could not be resolved"):
        fetch(f"http://{host}/", LIMITS, resolve=resolve)


def test_a_url_of_the_command_line_goes_past_the_same_guard() -> None:
    with Sandbox(LIMITS) as sandbox, pytest.raises(UnsafeUrl, match=r"leads to 127\.0\.0\.1 port 80"):
        list(read_documents(*discover("http://127.0.0.1/"), sandbox, LIMITS))


# --- the connection ---------------------------------------------------------------------------------------


def test_a_page_comes_after_its_redirects_with_its_last_address(site: Site) -> None:
    site.replies["/old?a=1"] = redirect("/newer", 301)
    site.replies["/newer"] = redirect(site.url("/new#part"), 308)
    site.replies["/new"] = answer("<p>다리</p>".encode(), **{"Content-Type": "Text/HTML; Charset=EUC-KR"})
    assert site.fetch("/old?a=1#top") == Page(site.url("/new#part"), "text/html", "euc-kr", "<p>다리</p>".encode())
    host = f"news.test:{site.port}"
    assert site.asked == [(host, "/old?a=1"), (host, "/newer"), (host, "/new")]


def test_the_connection_goes_to_the_address_that_was_checked(site: Site) -> None:
    # "news.test" has no address of its own: a second look-up would fail, and one by this resolver be refused.
    site.replies["/"] = answer(b"ok")
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.2"]])
    calls: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        calls.append(host)
        return next(answers)

    assert fetch(site.url("/"), LIMITS, resolve=rebinding, allow=site.allow).data == b"ok"
    assert calls == ["news.test"]


def test_a_redirect_to_the_same_host_is_checked_anew(site: Site) -> None:
    site.replies["/"] = redirect("/next")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with pytest.raises(UnsafeUrl, match=r"news\.test leads to 10\.0\.0\.1"):
        fetch(site.url("/"), LIMITS, resolve=lambda host, port: next(answers), allow=site.allow)
    assert [path for _, path in site.asked] == ["/"]


FORBIDDEN = """http://inside.test/ http://169.254.169.254/latest/meta-data/ http://[::1]/ //10.0.0.1/ file:///etc/passwd
    http://ada:secret@news.test/ http://[broken/ http://news.test:99999/ http://news.test:1/"""


@pytest.mark.parametrize("target", FORBIDDEN.split())
def test_a_redirect_to_where_it_must_not_go_is_refused(site: Site, target: str) -> None:
    site.replies["/"] = redirect(target)

    def resolve(host: str, port: int) -> list[str]:
        return site.resolve(host, port) if host.endswith(".test") else [host.strip("[]")]

    with pytest.raises(UnsafeUrl):
        fetch(site.url("/"), LIMITS, resolve=resolve, allow=site.allow)
    assert [path for _, path in site.asked] == ["/"]


@pytest.mark.parametrize("target", ["javascript:alert(1)", "http://news.test:x/", "http://a b/", "\x00", "http://"])
def test_a_redirect_that_is_no_address_is_a_read_error(site: Site, target: str) -> None:
    site.replies["/"] = redirect(target)
    with pytest.raises(ReadError):
        fetch(site.url("/"), LIMITS, resolve=lambda host, port: ["127.0.0.1"], allow=site.allow)
    assert {path for _, path in site.asked} == {"/"}


def test_three_redirects_are_followed_and_a_fourth_is_not(site: Site) -> None:
    for i in range(5):
        site.replies[f"/{i}"] = redirect(f"/{i + 1}")
    site.replies["/3"] = answer(b"third")
    assert site.fetch("/0").data == b"third"
    site.asked.clear()
    site.replies["/3"] = redirect("/4")
    with pytest.raises(UnsafeUrl, match="redirects more than 3 times"):
        site.fetch("/0")
    assert [path for _, path in site.asked] == ["/0", "/1", "/2", "/3"]


def test_no_proxy_of_the_environment_is_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.replies["/"] = answer(b"ok")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert site.fetch("/").data == b"ok"


@pytest.mark.parametrize("status", [204, 304, 403, 429, 500])
def test_an_answer_without_a_page_is_a_read_error_with_its_number(site: Site, status: int) -> None:
    site.replies["/"] = answer(status=status)
    with pytest.raises(ReadError, match=f"answered {status}"):
        site.fetch("/")


def test_a_name_in_another_script_is_asked_for_in_ascii(site: Site) -> None:
    site.replies["/%EA%B0%80"] = answer(b"ok")
    resolve = {"xn--bcher-kva.test": ["127.0.0.1"]}.__getitem__
    url = f"http://Bücher.test:{site.port}/가"
    assert fetch(url, LIMITS, resolve=lambda host, port: resolve(host), allow=site.allow).data == b"ok"
    assert site.asked == [(f"xn--bcher-kva.test:{site.port}", "/%EA%B0%80")]


# --- how much and how long --------------------------------------------------------------------------------


def test_a_body_at_the_limit_comes_and_one_byte_more_or_an_endless_one_does_not(site: Site) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    limits = Limits(max_url_bytes=2**20, url_timeout_s=60)
    site.replies |= {"/at": answer(b"x" * 2**20), "/over": answer(b"x" * (2**20 + 1)), "/endless": endless}
    assert len(site.fetch("/at", limits).data) == 2**20
    for path in ("/over", "/endless"):
        with pytest.raises(TooLarge, match="is over 1 MiB"):
            site.fetch(path, limits)


def test_a_packed_body_counts_unpacked(site: Site) -> None:
    site.replies["/small"] = answer(gzip.compress(b"hello"), Content_Encoding="gzip")
    site.replies["/bomb"] = answer(gzip.compress(bytes(30 * 2**20)), Content_Encoding="gzip")
    assert site.fetch("/small").data == b"hello"
    with pytest.raises(TooLarge):
        site.fetch("/bomb", Limits(max_url_bytes=2**20, url_timeout_s=60))


def test_a_body_that_is_packed_twice_is_never_unpacked_as_a_whole(site: Site) -> None:
    twice = gzip.compress(gzip.compress(bytes(2**28)))
    site.replies["/"] = answer(twice, Content_Encoding="gzip, gzip")
    assert len(twice) < 2_000
    tracemalloc.start()
    try:
        site.fetch("/")  # unpacked once: no text, which is found out in the sandbox
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def dribble(head: bytes, drop: bytes) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(600):  # a minute, unless the client hangs up
            handler.wfile.write(drop)
            handler.wfile.flush()
            time.sleep(0.1)

    return reply


@pytest.mark.parametrize(
    "reply",
    [
        dribble(b"", b""),
        dribble(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 600\r\n\r\n", b"x"),
        dribble(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        dribble(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silent", "slow-body", "slow-head", "slow-chunks"],
)
def test_a_slow_server_does_not_hold_longer_than_the_limit(site: Site, reply: Reply) -> None:
    site.replies["/"] = reply
    with pytest.raises(ReadError, match="TimeoutError"):
        site.fetch("/", Limits(url_timeout_s=0.5))


def test_the_time_limit_is_one_for_all_redirects(site: Site) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        redirect("/")(handler)

    site.replies["/"] = slowly
    with pytest.raises(ReadError, match="TimeoutError"):
        site.fetch("/", Limits(url_timeout_s=0.5, max_redirects=50))


def test_a_server_that_hangs_up_or_talks_nonsense_is_a_read_error(site: Site) -> None:
    site.replies["/gone"] = lambda handler: None
    site.replies["/nonsense"] = lambda handler: handler.wfile.write(b"\x00\x01 nonsense\r\n\r\n") and None
    site.replies["/short"] = answer(b"short", **{"Content-Length": "500"})
    for path in ("/gone", "/nonsense", "/short"):
        with pytest.raises(ReadError, match="could not be fetched"):
            site.fetch(path, LIMITS)


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[Site]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "news.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("news.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    yield from serve(context)


def test_a_certificate_that_nobody_vouches_for_is_refused(self_signed: Site) -> None:
    self_signed.replies["/"] = answer(b"secret")
    with pytest.raises(ReadError, match="could not be fetched"):
        fetch(self_signed.url("/").replace("http:", "https:"), LIMITS, self_signed.resolve, self_signed.allow)
    assert self_signed.asked == []
