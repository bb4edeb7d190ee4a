"""The bench harness: rivals (who), cases and programs (what), measure (how), table (the result)."""
