"""Queries of the README that the demo answers."""

EXAMPLES = {
    "My coffee splashed on the rug. My baby niece is having a nap, don't wake her.": "robot-001",
    "I snapped at my sister and I'm so ashamed. Don't give me advice, just hear me out.": (
        "support-004"
    ),
    "I lost my temper and called my best friend useless. I am in a hurry.": "support-001",
}
"""Query → id of its right document."""
