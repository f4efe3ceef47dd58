"""The training machine: data, step, loop, processes, logs. It knows no system; recipes do."""
