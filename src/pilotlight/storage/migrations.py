"""How a database gets its shape: numbered SQL files, each applied once and never edited once released."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from pilotlight.storage.database import Transaction

VERSIONS = """create table if not exists schema_version (
    component text not null, number bigint not null, sha256 text not null, primary key (component, number))"""


class SchemaMismatch(Exception):
    """The database was made by another version of Pilotlight; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    component: str
    number: int
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def schema_files(packages: Sequence[str]) -> list[SchemaFile]:
    """The files in each package's `schema` folder: `0001_what_it_does.sql`."""
    files = []
    for package in packages:
        folder = resources.files(package).joinpath("schema")
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
        for name in names:
            text = folder.joinpath(name).read_text("utf-8")
            files.append(SchemaFile(component=package, number=int(name.split("_")[0]), sql=text))
    return files


def migrate(tx: Transaction, files: Sequence[SchemaFile]) -> None:
    """Bring the schema up to date, inside one transaction."""
    tx.run(VERSIONS)
    applied = {(row["component"], row["number"]): row["sha256"] for row in tx.all("select * from schema_version")}
    known = {(file.component, file.number) for file in files}
    newest = {component: max(number for c, number in known if c == component) for component, _ in known}
    for component, number in applied:
        if component in newest and number > newest[component]:
            raise SchemaMismatch(
                f"the data were written by a newer Pilotlight ({component} {number:04}): use that, or another --data"
            )
    for file in files:
        stored = applied.get((file.component, file.number))
        if stored is None:
            for statement in file.sql.split(";"):
                if statement.strip():
                    tx.run(statement)
            tx.run(
                "insert into schema_version (component, number, sha256) values (:component, :number, :sha256)",
                component=file.component,
                number=file.number,
                sha256=file.sha256,
            )
        elif stored != file.sha256:
            raise SchemaMismatch(
                f"{file.component} {file.number:04} is not what this data directory was made with: use another --data"
            )
