"""Generator of accounts, flow logs and their truth. Imports nothing of the engine: it is the examiner."""

from fastroute.synth.account import Account, make_account
from fastroute.synth.generate import SynthResult, generate
from fastroute.synth.questions import answers, questions

__all__ = ["Account", "SynthResult", "answers", "generate", "make_account", "questions"]
