import pytest

from tivae.io.redaction import redacted

SECRETS = {
    "s3://key:hunter2@bucket/x": "s3://***@bucket/x",
    "s3://hunter2@bucket": "s3://***@bucket",
    "http://u:hunter2@h:5000/": "http://***@h:5000/",
    "postgresql://u:hun@ter2@h/db": "postgresql://***@h/db",
    "postgresql://u:hun/ter2@h/db": "postgresql://***@h/db",
    "--mlflow 'mysql+pymysql://u:hunter2@h/db' --quick": "--mlflow 'mysql+pymysql://***@h/db' --quick",
    "s3://b/x?region=eu&secret_key=hunter2&a=1": "s3://b/x?region=eu&secret_key=***&a=1",
    "abfs://c/x?sig=hunter2": "abfs://c/x?sig=***",
    "a s3://k:hunter2@a/x and s3://k:hunter2@b/x": None,
}
PLAIN = ["s3://bucket/x?region=eu", "/mnt/me@here/x", "http://h:5000/", "sqlite:///runs.db", "gs://b/x and me@there"]


@pytest.mark.parametrize(("text", "expected"), SECRETS.items())
def test_secrets_in_addresses_are_left_out(text, expected):
    found = redacted(text)
    assert "ter2" not in found
    assert expected is None or found == expected


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_are_left_as_they_are(text):
    assert redacted(text) == text
