"""Special tokens and the chat template: the same ids in every tokenizer of this project, from 0."""

SEPARATOR = "<|endoftext|>"
"""Between documents; also the beginning and the end of sequence."""
PAD = "<|pad|>"
PERSONAL_DATA = ("name", "phone", "email", "rrn", "account", "card", "address", "ip")
SPECIAL_TOKENS = (
    SEPARATOR,
    PAD,
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|tool_call|>",
    "<|tool_result|>",
    *(f"<|{kind}|>" for kind in PERSONAL_DATA),
    *(f"<|reserved_{number}|>" for number in range(16)),
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, for the roles system, user, assistant and tool."""
