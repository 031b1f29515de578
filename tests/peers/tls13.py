"""A small TLS 1.3 client (RFC 8446) for one purpose: to log in to a real unglue server from PROTOCOL.md alone.

Python's `ssl` takes no raw public keys (RFC 7250), so the handshake is written out here: X25519, TLS_AES_128_GCM_SHA256, an
ed25519 raw public key, ALPN, and the exporter (section 7.5). Keys and ciphers come from the package `cryptography`. It checks
everything that a careless client would leave out: the server's signature, its Finished, and its close_notify.

    tls = Tls(socket.create_connection(address), b"unglue/1")
    tls.host_key, tls.exporter(b"EXPORTER-unglue-auth-1", b"", 32)
    tls.write(b"…"); tls.read(5)
"""

import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS = 1, 2, 4, 8
CERTIFICATE, CERTIFICATE_VERIFY, FINISHED, KEY_UPDATE = 11, 15, 20, 24
SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN, SERVER_CERTIFICATE_TYPE, SUPPORTED_VERSIONS, KEY_SHARE = 10, 13, 16, 20, 43, 51
AES_128_GCM_SHA256, X25519, ED25519, TLS13, RAW_PUBLIC_KEY = 0x1301, 29, 0x0807, 0x0304, 2
EMPTY = hashlib.sha256(b"").digest()


class TlsError(Exception):
    """The server broke TLS, or refused."""


def vector(size, data):
    """A vector with a length of `size` bytes (RFC 8446 section 3.4)."""
    return len(data).to_bytes(size, "big") + data


def take(data, size):
    """The vector at the front, and what follows it."""
    length = int.from_bytes(data[:size], "big")
    if len(data) < size + length:
        raise TlsError("a vector that is longer than its message")
    return data[size : size + length], data[size + length :]


# The key schedule (RFC 8446 section 7.1), with SHA-256.


def expand_label(secret, label, context, length):
    info = struct.pack(">H", length) + vector(1, b"tls13 " + label) + vector(1, context)
    block = output = b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(secret, block + info + bytes([counter]), "sha256")
        output += block
        counter += 1
    return output[:length]


def extract(salt, secret):
    return hmac.digest(salt, secret, "sha256")


def derive(secret, label, transcript_hash):
    return expand_label(secret, label, transcript_hash, 32)


class Keys:
    """One direction of record protection (section 5.2)."""

    def __init__(self, secret):
        self.secret = secret
        self.aead = AESGCM(expand_label(secret, b"key", b"", 16))
        self.iv = int.from_bytes(expand_label(secret, b"iv", b"", 12), "big")
        self.sequence = 0

    def nonce(self):
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return nonce

    def seal(self, kind, data):
        header = struct.pack(">BHH", APPLICATION_DATA, 0x0303, len(data) + 17)
        return header + self.aead.encrypt(self.nonce(), data + bytes([kind]), header)

    def open(self, header, data):
        plain = self.aead.decrypt(self.nonce(), data, header).rstrip(b"\0")
        return plain[-1], plain[:-1]

    def next(self):
        return Keys(expand_label(self.secret, b"traffic upd", b"", 32))


class Tls:
    """A TLS 1.3 connection over a socket; made, the handshake is done and the server has proved its key."""

    def __init__(self, sock, alpn):
        self.sock = sock
        self.reader = self.writer = None
        self.unread, self.handshake = b"", b""
        self.closed = False
        self.transcript = hashlib.sha256()
        self.connect(alpn)

    # Records.

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise TlsError("the connection ended without close_notify")
            data += piece
        return data

    def record(self):
        """The next record's content type and plain bytes."""
        header = self.exactly(5)
        kind, _, length = struct.unpack(">BHH", header)
        if length > 16_384 + 256:
            raise TlsError(f"a record of {length} bytes")
        data = self.exactly(length)
        if kind == CHANGE_CIPHER_SPEC:
            return self.record()
        if self.reader and kind == APPLICATION_DATA:
            kind, data = self.reader.open(header, data)
        if kind == ALERT:
            level, description = data[0], data[1]
            if description == 0:
                self.closed = True
                return kind, b""
            raise TlsError(f"the server sent the alert {description} (level {level})")
        return kind, data

    def message(self):
        """The next handshake message: its type, and its body. It joins the transcript."""
        while len(self.handshake) < 4 or len(self.handshake) < 4 + int.from_bytes(self.handshake[1:4], "big"):
            kind, data = self.record()
            if kind != HANDSHAKE:
                raise TlsError(f"a record of type {kind} in the handshake")
            self.handshake += data
        length = int.from_bytes(self.handshake[1:4], "big")
        whole, self.handshake = self.handshake[: 4 + length], self.handshake[4 + length :]
        return whole[0], whole[4:], whole

    def expect(self, wanted):
        kind, body, whole = self.message()
        if kind != wanted:
            raise TlsError(f"the handshake message {kind} where {wanted} belongs")
        before = self.transcript.digest()
        self.transcript.update(whole)
        return body, before

    # The handshake.

    def connect(self, alpn):
        private = X25519PrivateKey.generate()
        hello = client_hello(private.public_key(), alpn)
        self.transcript.update(hello)
        self.sock.sendall(struct.pack(">BHH", HANDSHAKE, 0x0301, len(hello)) + hello)

        body, _ = self.expect(SERVER_HELLO)
        shared = private.exchange(X25519PublicKey.from_public_bytes(server_share(body)))
        early = extract(bytes(32), bytes(32))
        secret = extract(derive(early, b"derived", EMPTY), shared)
        here = self.transcript.digest()
        client_secret, server_secret = derive(secret, b"c hs traffic", here), derive(secret, b"s hs traffic", here)
        self.reader, self.writer = Keys(server_secret), Keys(client_secret)

        self.check_extensions(self.expect(ENCRYPTED_EXTENSIONS)[0], alpn)
        self.host_key = raw_public_key(self.expect(CERTIFICATE)[0])
        self.check_signature(*self.expect(CERTIFICATE_VERIFY))
        verified, before = self.expect(FINISHED)
        expected = hmac.digest(expand_label(server_secret, b"finished", b"", 32), before, "sha256")
        if not hmac.compare_digest(verified, expected):
            raise TlsError("the server's Finished does not match the handshake")

        master = extract(derive(secret, b"derived", EMPTY), bytes(32))
        here = self.transcript.digest()
        finished = hmac.digest(expand_label(client_secret, b"finished", b"", 32), here, "sha256")
        self.sock.sendall(self.writer.seal(HANDSHAKE, bytes([FINISHED]) + vector(3, finished)))
        self.reader, self.writer = Keys(derive(master, b"s ap traffic", here)), Keys(derive(master, b"c ap traffic", here))
        self.exporter_secret = derive(master, b"exp master", here)

    def check_extensions(self, body, alpn):
        found = extensions(take(body, 2)[0])
        if found.get(ALPN) != vector(2, vector(1, alpn)):
            raise TlsError(f"the server did not choose the protocol {alpn!r}")
        if found.get(SERVER_CERTIFICATE_TYPE) != bytes([RAW_PUBLIC_KEY]):
            raise TlsError("the server does not show a raw public key")

    def check_signature(self, body, transcript_hash):
        algorithm, (signature, _) = int.from_bytes(body[:2], "big"), take(body[2:], 2)
        if algorithm != ED25519:
            raise TlsError(f"a signature of the algorithm {algorithm:#06x}")
        signed = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + transcript_hash
        try:
            self.host_key.verify(signature, signed)
        except InvalidSignature:
            raise TlsError("the server does not have the key that it shows") from None

    def exporter(self, label, context, length):
        secret = derive(self.exporter_secret, label, EMPTY)
        return expand_label(secret, b"exporter", hashlib.sha256(context).digest(), length)

    # Application data, as a file.

    def write(self, data):
        for start in range(0, len(data), 16_384):
            self.sock.sendall(self.writer.seal(APPLICATION_DATA, data[start : start + 16_384]))

    def flush(self):
        pass

    def read(self, count):
        """So many bytes; fewer only at the orderly end."""
        while len(self.unread) < count and not self.closed:
            kind, data = self.record()
            if kind == APPLICATION_DATA:
                self.unread += data
            elif kind == HANDSHAKE and data[:1] == bytes([KEY_UPDATE]):
                self.reader = self.reader.next()
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def close(self):
        self.sock.sendall(self.writer.seal(ALERT, b"\x01\x00"))
        self.sock.close()


def client_hello(share, alpn):
    point = share.public_bytes(Encoding.Raw, PublicFormat.Raw)
    offered = {
        SUPPORTED_GROUPS: vector(2, struct.pack(">H", X25519)),
        SIGNATURE_ALGORITHMS: vector(2, struct.pack(">H", ED25519)),
        ALPN: vector(2, vector(1, alpn)),
        SERVER_CERTIFICATE_TYPE: vector(1, bytes([RAW_PUBLIC_KEY])),
        SUPPORTED_VERSIONS: vector(1, struct.pack(">H", TLS13)),
        KEY_SHARE: vector(2, struct.pack(">H", X25519) + vector(2, point)),
    }
    listed = b"".join(struct.pack(">H", kind) + vector(2, body) for kind, body in offered.items())
    suites = vector(2, struct.pack(">H", AES_128_GCM_SHA256))
    body = struct.pack(">H", 0x0303) + os.urandom(32) + vector(1, b"") + suites + vector(1, b"\0") + vector(2, listed)
    return bytes([CLIENT_HELLO]) + vector(3, body)


def extensions(data):
    found = {}
    while data:
        kind = int.from_bytes(data[:2], "big")
        found[kind], data = take(data[2:], 2)
    return found


def server_share(body):
    """The server's half of the key exchange."""
    _session, rest = take(body[34:], 1)
    suite, rest = int.from_bytes(rest[:2], "big"), rest[3:]
    found = extensions(take(rest, 2)[0])
    if suite != AES_128_GCM_SHA256 or found.get(SUPPORTED_VERSIONS) != struct.pack(">H", TLS13):
        raise TlsError("the server chose what was not offered")
    share = found.get(KEY_SHARE, b"")
    if share[:2] != struct.pack(">H", X25519):
        raise TlsError("the server asks for another key exchange")
    return take(share[2:], 2)[0]


def raw_public_key(body):
    """The one entry of a Certificate message, which is a SubjectPublicKeyInfo (RFC 7250)."""
    _context, rest = take(body, 1)
    entries, _ = take(rest, 3)
    spki, _ = take(entries, 3)
    key = load_der_public_key(spki)
    if not isinstance(key, Ed25519PublicKey):
        raise TlsError("the host key is not ed25519")
    return key
