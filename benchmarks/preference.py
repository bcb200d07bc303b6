"""Preference of a model after DPO on programmed pairs of the test split, beside what length alone says.

    python benchmarks/preference.py --base build/sft-model --tuned build/dpo-model --count 40

A pair is right where the log-probability of the chosen answer has grown more, from base to tuned, than that
of the rejected one. `likelier` is the share of pairs whose chosen answer has the larger log-probability, in
all and a token. `by length` is the better of "the shorter is right" and "the longer is right", chosen with
the answers in view; answers of equal length count half. Lengths are means in tokens. Log-probabilities are
those of transformers, in fp32.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.chat.programmed.make import row, tasks
from onnuri.chat.programmed.table import FAMILIES
from onnuri.evaluate.statistics import interval


def conversations(tokenizer: Any, pair: dict[str, Any]) -> list[tuple[list[int], list[bool]]]:
    """Tokens behind the separator, and which of them are the answer's: of the chosen, of the rejected."""
    found = []
    for answer in (pair["chosen"], pair["rejected"]):
        made = tokenizer.apply_chat_template(
            [*pair["prompt"], *answer], return_dict=True, return_assistant_tokens_mask=True
        )
        mask = [bool(each) for each in made["assistant_masks"]]
        found.append(([tokenizer.bos_token_id, *made["input_ids"]], [False, *mask]))
    return found


@torch.no_grad()
def log_probability(model: Any, ids: list[int], mask: list[bool]) -> float:
    """Of the tokens that the mask has, summed."""
    tokens = torch.tensor([ids])
    logprobs = model(tokens).logits[0, :-1].float().log_softmax(-1)
    of_next = logprobs.gather(1, tokens[0, 1:, None])[:, 0]
    return float(of_next[torch.tensor(mask[1:])].sum())


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="model that DPO started from")
    parser.add_argument("--tuned", type=Path, required=True)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--count", type=int, default=40, help="pairs of each family")
    parser.add_argument("--difficulty", type=int, default=0)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tuned)
    models = [
        AutoModelForCausalLM.from_pretrained(each, dtype=torch.float32).eval()
        for each in (options.base, options.tuned)
    ]
    figures: dict[str, list[list[float]]] = {}
    for family in options.families:
        for task in tasks(family, options.count, "test", options.difficulty, 1):
            both = conversations(tokenizer, row(task, "pairs", 1))
            sums = np.array([[log_probability(model, *each) for each in both] for model in models])
            lengths = np.array([sum(mask) for _, mask in both])
            change = sums[1] - sums[0]
            shorter = 0.5 + 0.5 * np.sign(lengths[1] - lengths[0])
            figures.setdefault(family, []).append(
                [
                    float(change[0] > change[1]),
                    *(float(each[0] > each[1]) for each in sums),
                    *(float(each[0] > each[1]) for each in sums / lengths),
                    float(shorter),
                    *lengths.tolist(),
                ]
            )
    figures["all"] = [each for rows in figures.values() for each in rows]
    titles = ("pairs", "right", "(95 %)", "by length", "likelier", "before", "a token", "before")
    print(f"{'':16}" + "".join(f"{title:>15}" for title in titles) + f"{'chosen':>10}{'rejected':>10}")
    for family, rows in figures.items():
        means = np.mean(rows, axis=0).tolist()
        found = interval([each[0] for each in rows], range(len(rows)))
        cells = [f"{len(rows)}", f"{means[0]:.3f}", f"{found.low:.3f} to {found.high:.3f}"]
        shares = (max(means[5], 1 - means[5]), means[2], means[1], means[4], means[3])
        cells += [f"{each:.3f}" for each in shares]
        print(f"{family:16}" + "".join(f"{each:>15}" for each in cells), end="")
        print(f"{means[6]:10.1f}{means[7]:10.1f}")


if __name__ == "__main__":
    main()
