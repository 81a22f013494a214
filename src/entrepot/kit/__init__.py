"""Small tools with no noun of ours: clock, ids, paging, byte ranges, logs."""
