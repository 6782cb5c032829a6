"""Every example is judged: what is done with it stands in judged.py, and what it says can be done."""

import re
import subprocess

import pytest

import examples
import judged
import mentioned
from daemon import LITEBASE
from judgements import FOLLOWED, JUDGED, NAMES, STARTED, judgements_of

VERBS = re.findall(r"^([\w-]+):", (examples.ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_every_document_with_examples_is_known():
    found = [path for path in (*examples.MARKDOWN, *examples.MANUAL, *examples.DEBIAN) if examples.blocks(path)]
    assert sorted(found) == sorted(JUDGED)
    assert sorted({*examples.MANUAL, "docs/man/litebase-protocol.7"}) == sorted(
        str(path.relative_to(examples.ROOT)) for path in (examples.ROOT / "docs/man").iterdir())


def test_every_help_text_with_examples_is_known():
    commands = [(), *((name,) for name in subcommands()), *(("config", name) for name in subcommands("config"))]
    shown = [block.document for command in commands for block in examples.of_help(LITEBASE, *command)]
    assert sorted(shown) == sorted(judged.HELP)


def subcommands(*command):
    shown = subprocess.run([LITEBASE, *command, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([\w-]+)  ", shown.split("SUBCOMMANDS:\n")[1], re.M)


@pytest.mark.parametrize("document", NAMES)
def test_every_block_is_judged(document):
    for block, judgement in judgements_of(document):
        assert judgement, f"{block.name}: nobody has judged this example; say in judged.py what is done with it:\n{block.text}"
        assert block, f"judged.py judges what {document} does not have: {judgement.begins!r}"
        assert block.text.startswith(judgement.begins), (
            f"{block.name}: judged.py expects here what begins with {judgement.begins!r}:\n{block.text}")


@pytest.mark.parametrize("document", NAMES)
def test_what_a_judgement_says_is_about_its_block(document):
    """No reason, no key and no name is left from an example that is gone."""
    for block, judgement in judgements_of(document):
        if isinstance(judgement, judged.Commands):
            typed = set(typed_in(block))
            shared = set(judged.LEAVES) if judged.LEAVES.items() <= judgement.types.items() else set()
            for said in (judgement.left_out, judgement.types, judgement.ends):
                assert set(said) - shared <= typed, block.name
            assert all(old in block.text for old in judgement.instead), block.name
        if isinstance(judgement, judged.Elsewhere):
            path, name = judgement.test.split("::")
            assert re.search(rf"\b(def|func) {name}\(", (examples.ROOT / path).read_text(encoding="utf-8")), judgement.test
        if isinstance(judgement, judged.Picture):
            assert block.language == "text", f"{block.name}: a picture is marked as ```text"


def typed_in(block):
    return [examples.without_comment(command.text) for command in examples.commands(block)]


def everything(kind):
    return [(block, judgement) for document in NAMES for block, judgement in judgements_of(document) if type(judgement) is kind]


def test_every_command_has_who_runs_it():
    """By a reader who follows the document, on the machine of the system tests; or it is left out."""
    for block, judgement in everything(judged.Commands):
        assert block.document in FOLLOWED + STARTED or (
            set(typed_in(block)) == set(judgement.left_out)), f"{block.name}: no test runs this"


def test_what_another_document_is_said_to_have_is_there():
    on_machine = {one_line(text) for block, _ in everything(judged.OnMachine) for text in typed_in(block)}
    for block, judgement in everything(judged.Commands):
        for text, reason in judgement.left_out.items():
            assert reason != judged.ON_MACHINE or one_line(text) in on_machine, f"{block.name}: {text}"


def test_every_command_within_a_text_is_judged():
    found = {piece for document in examples.MARKDOWN for piece in mentioned.within(document)}
    known = {*mentioned.RUN, *mentioned.LEFT_OUT}
    assert found == known, f"nobody has judged: {found - known}; in no document: {known - found}"


def one_line(text):
    return " ".join(text.replace("\\\n", " ").split())


@pytest.mark.parametrize("document", examples.MARKDOWN)
def test_verbs_of_make_exist(document):
    shown = "\n".join([*examples.inline(document), *(block.text for block in examples.blocks(document))])
    for verb in re.findall(r"(?:^|[;&`] *)make ((?!DESTDIR|-)[\w-]+)", shown, re.M):
        assert verb in VERBS, f"{document}: make {verb}"


@pytest.mark.parametrize("document", examples.MARKDOWN)
def test_scripts_exist(document):
    shown = "\n".join([*examples.inline(document), *(block.text for block in examples.blocks(document))])
    for script in re.findall(r"(?:^|[ `])((?:scripts|FuzzTesting|Benchmarks|Tests)/[\w/-]+\.(?:sh|py))\b", shown, re.M):
        assert (examples.ROOT / script).exists(), f"{document}: {script}"
