"""Special tokens and the chat template: the same ids in every tokenizer of this project, from 0."""

SEPARATOR = "<|endoftext|>"
"""Between documents; also the beginning and the end of sequence."""
PAD = "<|pad|>"
TURN_END = "<|im_end|>"
CONTROL_TOKENS = (
    SEPARATOR,
    PAD,
    "<|im_start|>",
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

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] %}{{ message['content'] }}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}"
    "{% set function = call['function'] if call['function'] else call %}"
    "{{ '<|tool_call|>' + {'name': function['name'], 'arguments': function['arguments']}"
    " | tojson(ensure_ascii=False) }}"
    "{% endfor %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML for the roles system, user, assistant and tool; calls of tools follow the content as JSON."""
