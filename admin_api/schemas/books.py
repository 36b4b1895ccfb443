"""Books as everybody may see them."""

from pydantic import BaseModel, Field


class BookLevelView(BaseModel):
    """What stands at one price. What icebergs hide is not in it."""

    price: str = Field(description="Price(44)", examples=["60000.00"])
    qty: str = Field(description="What is shown of all orders at the price", examples=["1.5000"])
    order_count: int = Field(description="How many orders stand there", examples=[3])


class BookView(BaseModel):
    """The best levels of a book, each side from its best price on."""

    symbol: str = Field(description="Symbol(55)", examples=["BTC-USD"])
    seq: int = Field(description="The journal's record up to which this is true", examples=[1042])
    state: str = Field(description="The market's trading state", examples=["CONTINUOUS"])
    last_price: str | None = Field(
        description="What traded last, null before the first trade", examples=["60000.00"]
    )
    bids: list[BookLevelView]
    asks: list[BookLevelView]
