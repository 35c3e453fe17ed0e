"""What a fact is: one value under a flat dotted name. What is absent has no entry."""

Fact = str | int | float | bool
Facts = dict[str, Fact]
