"""From basket to handed over: delivery, placing, paying, refunding, fulfilling; what gateways report."""
