"""Generator of accounts, flow logs and their truth. Imports nothing of the engine: it is the examiner."""

from fastroute.synth.account import Account, make_account
from fastroute.synth.generate import SynthResult, generate
from fastroute.synth.questions import answers, questions
from fastroute.synth.reuse import ReuseResult, generate_reuse

__all__ = ["Account", "ReuseResult", "SynthResult", "answers", "generate", "generate_reuse", "make_account", "questions"]
