"""What can be requested and what is offered: requests, offers, placements and their order."""
