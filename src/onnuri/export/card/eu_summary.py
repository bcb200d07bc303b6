"""`eu_training_summary.md`: a draft of the public summary of training content (AI Act, article 53(1)(d)).

It follows the headings of the template that the European Commission published on 24 July 2025. What the run
does not know is left as a line for the provider, who answers for the summary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from onnuri.export.card import wording
from onnuri.export.card.facts import Facts, Source
from onnuri.export.card.readme import cell
from onnuri.export.card.wording import NOT_STATED, stated

SECTIONS = (
    ("2.1 Publicly available datasets", "public"),
    ("2.2 Private datasets obtained from third parties", "licensed"),
    ("2.3 Data crawled and scraped from online sources", "crawled"),
    ("2.4 User data", "user"),
    ("2.5 Synthetic data", "synthetic"),
    ("2.6 Other sources, and sources whose kind is not stated", ""),
)
"""Headings of part 2 and the kinds of source below them."""
SHARE_OF_DOMAINS = 0.1
"""The largest domains to be named; small and medium-sized enterprises may name fewer."""


def eu_summary(facts: Facts) -> str:
    """The draft, in Markdown."""
    statements = facts.stated
    periods = sorted({source.period for source in facts.sources if source.period})
    sections = "\n".join(_section(facts, title, kind) for title, kind in SECTIONS)
    return f"""# Public summary of training content: {facts.name}

Draft written by Onnuri from the records of the training run, after the European Commission's template of
24 July 2025. Complete the marked lines, and check the draft against the template in force.

## 1. General information

### 1.1 Provider

- Name: {stated(statements.provider, "name")}
- Contact: {stated(statements.contact, "e-mail or URL")}
- Authorised representative: {
        stated(statements.authorised_representative, "if the provider is outside of the EU")
    }

### 1.2 Model

- Name and version: {facts.name}, manifest {facts.identity}
- Model dependencies: none; trained from random weights
- Date of placement on the Union market: {stated(statements.release_date, "date")}

### 1.3 Modalities and size

- Modality: text
- Size of the training data: {wording.size_band(sum(source.tokens for source in facts.sources))}; exactly {
        sum(source.tokens for source in facts.sources):,} tokens, {
        sum(source.bytes for source in facts.sources):,} bytes, {
        sum(source.documents for source in facts.sources):,} documents
- Tokens that the model was shown: {facts.tokens_seen:,}
- Languages: {", ".join(facts.languages)}
- Period of collection: {", ".join(periods) or stated("", "when the data was collected")}
- How the data was chosen: {stated(statements.collection, "how and why")}

## 2. List of data sources

{sections}
## 3. Data processing

### 3.1 Respect of reservations of rights

- {wording.opt_outs(facts)}
- Measures at collection: {stated(statements.rights_reservations, "robots.txt, TDM reservations")}

### 3.2 Removal of illegal content

- {stated(statements.illegal_content, "measures that were taken")}

### 3.3 Other information

- {wording.personal_data(facts)}
- Personal data, further: {stated(statements.personal_data, "legal basis and measures")}
- {wording.decontamination(facts)}
- Stages of the corpus: {", ".join(wording.stages(facts)) or "not on record"}
"""


def _section(facts: Facts, title: str, kind: str) -> str:
    mine = [source for source in facts.sources if (source.kind if source.kind in _known() else "") == kind]
    lines = [f"### {title}", ""]
    if not mine:
        lines += ["None on record.", ""]
    else:
        lines += [
            "| source | languages | collected | licence | address | documents | tokens | bytes |",
            "| --- | --- | --- | --- | --- | --: | --: | --: |",
            *(_row(source) for source in mine),
            "",
        ]
    if kind == "crawled" and mine:
        lines += [f"- Crawlers: {stated(facts.stated.collection, 'name, purpose and behaviour')}"]
        lines += [*domains(mine), ""]
    if kind == "user":
        lines += [f"- {stated(facts.stated.user_data, 'services, or that no user data was used')}", ""]
    return "\n".join(lines)


def _known() -> list[str]:
    return [kind for _, kind in SECTIONS]


def _row(source: Source) -> str:
    return (
        f"| {cell(source.name)} | {source.languages} | {cell(source.period or NOT_STATED)} "
        f"| {cell(source.licence or NOT_STATED)}{' (unverified)' if source.unverified else ''} "
        f"| {cell(source.dataset or source.url or NOT_STATED)} "
        f"| {source.documents:,} | {source.tokens:,} | {source.bytes:,} |"
    )


def domains(crawled: Sequence[Source]) -> list[str]:
    """The largest tenth of the domains by bytes, as far as the manifest names them."""
    sizes: Counter[str] = Counter()
    for source in crawled:
        sizes.update(source.domains)
    if not sizes:
        return ["- Domains: the documents name no addresses; " + stated("", "the largest domains")]
    number = max(source.num_domains for source in crawled)
    number = max(number, len(sizes))
    named = sorted(sizes.items(), key=lambda each: (-each[1], each[0]))
    named = named[: math.ceil(SHARE_OF_DOMAINS * number)]
    listed = ", ".join(f"{name} ({size:,} bytes)" for name, size in named)
    return [f"- The largest {len(named):,} of {number:,} domains or more: {listed}"]
