#!/usr/bin/env python3
"""Counts the words of a text, and puts a job for each that occurs more than once:

    holdfast consume count -- python3 count.py
"""
import collections
import json
import os
import sys

job = json.load(sys.stdin)  # {"path": "loud/ada.txt"}; the file itself is in HOLDFAST_IN
try:
    with open(os.environ["HOLDFAST_IN"], encoding="utf-8") as text:
        words = collections.Counter(text.read().split())
except UnicodeDecodeError as error:
    print(f"not a text: {error}", file=sys.stderr)
    sys.exit(65)  # failed for good; any other exception would be another attempt

for word, n in words.items():
    if n > 1:
        print("::put frequent", json.dumps({"word": word, "n": n, "of": job["path"]}))
print("::progress 100 counted", flush=True)
print("::result", json.dumps({"words": sum(words.values())}))
