"""Special tokens and the chat template: the same ids in every tokenizer of this project, from 0."""

SEPARATOR = "<|endoftext|>"
"""Between documents; also the beginning and the end of sequence."""
PAD = "<|pad|>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (
    SEPARATOR,
    PAD,
    TURN_START,
    TURN_END,
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|file_sep|>",
    "<|tool_call|>",
    "<|tool_result|>",
    *(f"<|reserved_{number}|>" for number in range(41)),
)
"""Text that reads like one of these stays text: only a chat template or a program puts them in."""
PERSONAL_DATA = (
    "vehicle_plate",
    "health_insurance",
    "name",
    "rrn",
    "phone",
    "card",
    "account",
    "passport",
    "driver_licence",
    "email",
    "ip",
    "business_number",
    "address",
)
PLACEHOLDERS = tuple(f"<|{kind}|>" for kind in PERSONAL_DATA)
"""What scripts/corpus.py puts in place of personal data. In text they are one token each."""
SPECIAL_TOKENS = (*CONTROL_TOKENS, *PLACEHOLDERS)
"""64 in all."""

TOOLS_HEAD = "쓸 수 있는 도구 (tools):\n<tools>\n"
TOOLS_TAIL = (
    "</tools>\n도구를 쓰려면 이렇게 답한다 (to call a tool):\n"
    '<tool_call>\n{"name": "...", "arguments": {...}}\n</tool_call>'
)
CHAT_TEMPLATE = (
    "{% macro text(content) %}"
    "{% if content is string %}{{ content }}"
    "{% elif content %}{% for part in content %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% endmacro %}"
    "{% if tools %}"
    "{{ '<|im_start|>system\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ text(messages[0]['content']) + '\n\n' }}{% endif %}"
    f"{{{{ {TOOLS_HEAD!r} }}}}"
    "{% for tool in tools %}{{ tool | tojson(ensure_ascii=False) + '\n' }}{% endfor %}"
    f"{{{{ {TOOLS_TAIL!r} }}}}"
    "{{ '<|im_end|>\n' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{% if not (tools and loop.first and message['role'] == 'system') %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}"
    "{{ text(message['content']) }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{% set function = call['function'] if call['function'] else call %}"
    "{% if message['content'] or not loop.first %}{{ '\n' }}{% endif %}"
    "{{ '<tool_call>\n{\"name\": ' + function['name'] | tojson(ensure_ascii=False) + ', \"arguments\": ' }}"
    "{% if function['arguments'] is string %}{{ function['arguments'] }}"
    "{% else %}{{ function['arguments'] | tojson(ensure_ascii=False) }}{% endif %}"
    "{{ '}\n</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|im_end|>' }}"
    "{% endgeneration %}"
    "{% else %}{{ text(message['content']) + '<|im_end|>' }}{% endif %}"
    "{{ '\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML for the roles system, user, assistant and tool, with what is trained marked as generation: the
assistant's contents, calls and end of turn. Calls have the form of Hermes 2 Pro, which the parsers of vLLM
(hermes), llama.cpp and `transformers serve` know; `onnuri.chat.format` renders the same to ids."""
