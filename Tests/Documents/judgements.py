"""Blocks and their judgements, side by side."""

import itertools

import examples
import judged
from daemon import LITEBASE

JUDGED = {
    "README.md": judged.README,
    "ARCHITECTURE.md": [judged.Picture(begins="             control loop"), judged.Picture(begins="litebased   litebase")],
    "FuzzTesting/README.md": judged.FUZZ,
    "Tests/PowerLoss/README.md": [judged.Picture(begins="24 clients")],
    "docs/client-swift.md": judged.CLIENT_SWIFT,
    "docs/clients/go.md": judged.CLIENT_GO,
    "docs/clients/node.md": judged.CLIENT_NODE,
    "docs/clients/python.md": judged.CLIENT_PYTHON,
    "docs/clients/rust.md": judged.CLIENT_RUST,
    "docs/databases.md": judged.DATABASES,
    "docs/examples/shop/README.md": judged.SHOP,
    "docs/operations.md": judged.OPERATIONS,
    "docs/protocol.md": judged.PROTOCOL,
    "docs/scaling.md": judged.SCALING,
    "docs/troubleshooting.md": judged.TROUBLESHOOTING,
    "docs/upgrading.md": judged.UPGRADING,
    "docs/man/litebase.1": judged.LITEBASE_1,
    "docs/man/litebased.8": judged.LITEBASED_8,
    "docs/man/litebase.toml.5": judged.LITEBASE_TOML_5,
    "packaging/debian/litebase.README.Debian": judged.DEBIAN,
}
NAMES = [*JUDGED, *judged.HELP]
# What the reader has who follows a document: a daemon, and the tables and files that the examples speak of; or the
# daemon that the document starts.
FOLLOWED = ["docs/protocol.md", "docs/examples/shop/README.md", "docs/man/litebase.1", "docs/man/litebase.toml.5", *judged.HELP]
STARTED = ["README.md", "docs/man/litebased.8"]


def blocks_of(document):
    if document in judged.HELP:
        return list(examples.of_help(LITEBASE, *document.split()[1:-1]))
    return examples.blocks(document)


def judgements_of(document):
    """Pairs of (block, judgement); either is None where the other has no counterpart."""
    return list(itertools.zip_longest(blocks_of(document), JUDGED[document] if document in JUDGED else judged.HELP[document]))
