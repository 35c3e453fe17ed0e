"""What a run is: conditions and outcome, findings, canaries; its errors and its secrets. Everything else in `tracking`
imports this."""
