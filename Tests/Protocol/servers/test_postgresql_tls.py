"""PostgreSQL over TLS: the server's certificate is verified, wrong ones are refused in clear words, and the daemon can show
one of its own. Certificates are made by openssl, valid for "localhost" alone.

Source: https://www.postgresql.org/docs/15/libpq-ssl.html, https://www.postgresql.org/docs/15/auth-cert.html
"""

import os
import socket
import subprocess

import pytest

from certificates import Authority
from daemon import free_port, short_directory
from postgresql import PostgreSQL

KEY_PASSWORD = "Kq8-of-the-key"


@pytest.fixture(scope="module")
def pki():
    directory = short_directory()
    directory.chmod(0o755)
    yield Authority(directory, "ca")
    subprocess.run(["rm", "-rf", str(directory)], check=True)


@pytest.fixture(scope="module")
def server(pki):
    """A server on 127.0.0.1 that lets in user lb over TLS only, and user carl only with his certificate."""
    instance = PostgreSQL()
    certificate, key = pki.sign("localhost", "server")
    if instance.user:
        for path in (certificate, key):
            os.chown(path, instance.user.pw_uid, instance.user.pw_gid)
    instance.port = free_port()
    (instance.data / "pg_hba.conf").write_text("local all all trust\n"
                                               "hostssl all carl 127.0.0.1/32 cert\n"
                                               "hostssl all lb 127.0.0.1/32 trust\n")
    instance.stop()
    # The socket's name has the port.
    instance.settings.update(listen_addresses="127.0.0.1", ssl="on", ssl_cert_file=str(certificate), ssl_key_file=str(key),
                             ssl_ca_file=str(pki.certificate), port=str(instance.port))
    local_url = instance.url
    instance.url = lambda *a, **k: local_url(*a, **{"port": instance.port, **k})
    instance.start()
    instance.psql("CREATE ROLE carl LOGIN")
    yield instance
    instance.discard()


SQL = "SELECT ssl, current_user, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture
def connection(server, start_daemon):
    """A client of a daemon whose database is reached like this."""
    def open_one(user="lb", host="localhost", **options):
        url = f"postgresql://{user}@{host}:{server.port}/postgres?" + "&".join(f"{k}={v}" for k, v in options.items())
        return start_daemon(databases={"pg": url}).connect()
    return open_one


@pytest.fixture
def ask(connection):
    """Whether the connection is encrypted, for whom, and by which certificate."""
    return lambda *a, **options: connection(*a, **options).query(SQL, database="pg").rows[0]


@pytest.fixture
def refusal(connection):
    """Why there is no connection."""
    def detail(*a, **options):
        error = connection(*a, **options).query_fails(SQL, database="pg")
        assert error["code"] == "connect_failed" and KEY_PASSWORD not in str(error), error
        return error["detail"]
    return detail


def test_the_servers_certificate_is_verified(ask, pki):
    assert ask(sslmode="verify-full", sslrootcert=pki.certificate) == [True, "lb", None]


def test_a_wrong_authority_is_refused(refusal, pki):
    other = Authority(pki.directory, "other")
    assert "certificate verify failed" in refusal(sslmode="verify-full", sslrootcert=other.certificate)
    assert '"/nonexistent/ca.crt" does not exist' in refusal(sslmode="verify-full", sslrootcert="/nonexistent/ca.crt")


def test_a_certificate_of_another_name_is_refused(ask, refusal, pki):
    options = {"host": "127.0.0.1", "sslrootcert": pki.certificate}
    assert 'does not match host name "127.0.0.1"' in refusal(sslmode="verify-full", **options)
    assert ask(sslmode="verify-ca", **options) == [True, "lb", None], "the authority alone"


def test_without_tls_the_server_refuses(refusal):
    assert "no encryption" in refusal(sslmode="disable")


def test_a_certificate_instead_of_a_password(ask, refusal, pki):
    certificate, key = pki.sign("carl", "carl")
    options = {"sslmode": "verify-full", "sslrootcert": pki.certificate}
    assert ask("carl", **options, sslcert=certificate, sslkey=key) == [True, "carl", "/CN=carl"]
    others, others_key = pki.sign("lucy", "lucy")
    assert "certificate authentication failed" in refusal("carl", **options, sslcert=others, sslkey=others_key)
    assert "valid client certificate" in refusal("carl", **options)
    key.chmod(0o644)
    assert "has group or world access" in refusal("carl", **options, sslcert=certificate, sslkey=key)


def test_a_key_with_a_password(ask, refusal, pki):
    certificate, key = pki.sign("carl", "locked", KEY_PASSWORD)
    options = {"sslmode": "verify-full", "sslrootcert": pki.certificate, "sslcert": certificate, "sslkey": key}
    assert ask("carl", **options, sslpassword=KEY_PASSWORD)[1] == "carl"
    for wrong in ({"sslpassword": "Wrong" + KEY_PASSWORD}, {}):
        assert "could not load private key" in refusal("carl", **options, **wrong)
