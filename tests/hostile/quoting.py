"""A job type that quotes whatever it is given, wherever people read it: in a policy's reason and in a receipt."""

from pydantic import BaseModel

from backlane import App, Receipt, Request, policy
from backlane.policy import Answers, Asked
from tests.values import Note

app = App()


class Payment(BaseModel):
    """What an action is given."""

    order: str


@app.job("quotes", authority="external_effect")
def quotes(inputs: Note) -> Request:
    """Asks for a payment."""
    return Request(model="gpt-6-luna", input=inputs.text)


@quotes.policy
def doubts(asked: Asked) -> Answers:
    """Has a doubt, and says it in the model's words."""
    return policy.Review(asked.arguments.order[:200])


@quotes.action(timeout="2s", unbound=True)
async def pay(args: Payment, *, key: str) -> Receipt:
    """Says in the receipt what it was told."""
    return Receipt(system="bank", type="payment", id=args.order, url=None)
