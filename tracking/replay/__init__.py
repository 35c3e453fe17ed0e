"""A recorded model run again under other conditions: its code, packages, data by hash, and each answer kept."""
