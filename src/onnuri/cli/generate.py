"""Continue a text with an exported model, streaming.

onnuri generate model=MODEL_DIR prompt="대한민국의" temperature=0.7
"""

import sys
from dataclasses import replace

from onnuri.config import run_cli
from onnuri.generate.config import GenerateConfig


def run(config: GenerateConfig) -> int:
    """Print each prompt and its continuation while it is written.

    Of a file of prompts those that are too long are reported first and left out; the status is then 1.
    """
    from onnuri.generate.sample import Generator, Prompt, fitting, read_prompts
    from onnuri.hf.fetch import model_folder

    prompts = read_prompts(config)
    config = replace(config, model=model_folder(config.model, config.hub))
    generator = Generator(config.model)
    if config.prompts:
        found, problems = fitting(generator, prompts, config.prompts)
    else:
        found, problems = [Prompt(1, config.prompt, generator.encode(config.prompt))], []
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr, flush=True)
    ending, shown = "\n\n" if len(prompts) > 1 else "\n", -1
    for number, piece in generator.stream_all([prompt.tokens for prompt in found], config):
        if number != shown:
            print(end=ending if number else "")
            print(found[number].text, end="", flush=True)
            shown = number
        print(piece, end="", flush=True)
    print(end=ending if found else "", flush=True)
    return 1 if problems else 0


def main() -> None:
    """The command."""
    run_cli(GenerateConfig, run, __doc__, command="generate")


if __name__ == "__main__":
    main()
