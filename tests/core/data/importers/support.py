"""200 questions to the support of an invented phone company, with their right articles; authored.

`python -m tests.core.data.importers.support questions.csv` writes them.
"""

import csv
import sys
from pathlib import Path

ARTICLES = {
    "Change your plan": "Open Plans in your account, choose another tariff and confirm. It starts "
    "with the next billing month.",
    "Read your bill": "Every statement lists the basic fee, extra usage and taxes. Tap an entry to "
    "see the calls behind it.",
    "Pay later": "We can spread an amount over three months. Ask for instalments before the due "
    "date.",
    "Use your phone abroad": "Roaming has to be switched on before you cross the border. In EU "
    "countries it costs nothing extra.",
    "Replace a SIM card": "Order a new card in your account. The old one is blocked as soon as the "
    "new one is active.",
    "Keep your number": "Tell us the old provider and sign the transfer form. Porting takes one "
    "working day.",
    "Report theft": "Call the hotline at any hour. We lock the line at once and put the handset on "
    "the block list.",
    "Weak signal indoors": "Switch on Wi-Fi calling in the settings. Thick walls no longer matter "
    "then.",
    "Reset your password": "Choose Forgotten password on the login page. A link arrives by e-mail "
    "and works for an hour.",
    "Cancel the contract": "Send notice one month before the end of the term, by letter or in your "
    "account.",
    "Set up voicemail": "Dial 3311 and record a greeting. Callers hear it after 20 seconds.",
    "Block unwanted callers": "Add the number to your block list under Security. Anonymous calls "
    "can be refused altogether.",
    "Limit a child's spending": "Family mode caps monthly costs and refuses premium numbers.",
    "Send a device for repair": "Print the free label, remove the cover and hand the parcel in. "
    "Repairs take a week.",
    "Activate an eSIM": "Scan the code from your welcome letter with the camera. The profile loads "
    "by itself.",
    "More data this month": "Book an extra package of 2 or 10 GB. It is ready within a minute and "
    "ends with the month.",
    "Move house": "Enter the new address four weeks ahead. A technician connects the line on the "
    "day you choose.",
    "Correct your name": "Upload a photo of your identity card. Contracts and statements are "
    "reissued.",
    "Share a line with family": "Up to five cards can belong to one contract. Invite them from "
    "Members.",
    "Get help in person": "Our shops are open from nine to seven. Book an appointment to avoid "
    "queues.",
}
QUESTIONS = {
    "Change your plan": ("My tariff is too small for me", "I want a cheaper tariff"),
    "Read your bill": ("Why is the invoice so high", "I do not understand what I was charged for"),
    "Pay later": ("I cannot afford the invoice right now", "Is it possible to pay in parts"),
    "Use your phone abroad": ("I am flying to Spain next week", "Will it work on holiday"),
    "Replace a SIM card": ("My chip is broken", "The card no longer fits into the tray"),
    "Keep your number": ("I come from another company", "May I bring my digits with me"),
    "Report theft": ("Somebody took my mobile on the train", "It was snatched out of my bag"),
    "Weak signal indoors": ("No bars in my kitchen", "Talks break off in the cellar"),
    "Reset your password": ("I am locked out of the website", "My login is refused"),
    "Cancel the contract": ("I want to leave you", "How do I quit"),
    "Set up voicemail": ("Who takes messages when I am busy", "Nobody can leave me a message"),
    "Block unwanted callers": ("Salesmen ring every evening", "A stranger keeps ringing me"),
    "Limit a child's spending": ("My son buys games by text", "My daughter ran up 90 euros"),
    "Send a device for repair": ("The screen is cracked", "The battery is empty by noon"),
    "Activate an eSIM": ("My new watch has no slot", "There is no tray in this model"),
    "More data this month": ("The internet is slow since the 20th", "I used up all gigabytes"),
    "Move house": ("We get a new flat in May", "Our landline has to come along"),
    "Correct your name": ("I got married", "My surname is spelt wrong"),
    "Share a line with family": ("My wife wants to join", "Three of us on one account"),
    "Get help in person": ("I would rather talk face to face", "Where is your nearest branch"),
}
"""Two needs for each article; they share few words with it."""
WORDINGS = ("{}.", "Hello, {}.", "{}, what now?", "Please help: {}.", "{}. Thanks!")


def rows() -> list[tuple[str, str, str, str]]:
    """(question, title, article, date): each article is right for ten questions."""
    found = []
    for number, (title, needs) in enumerate(QUESTIONS.items()):
        for place, wording in enumerate(WORDINGS):
            for half, need in enumerate(needs):
                question = wording.format(need)
                date = f"2026-{1 + place * 2 + half:02d}-{1 + number:02d}"
                found.append((question, title, ARTICLES[title], date))
    return found


def write_csv(path: Path, separator: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(("question", "title", "article", "asked"))
        writer.writerows(rows())


if __name__ == "__main__":
    write_csv(Path(sys.argv[1]))
