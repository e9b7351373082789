"""Room `stack`: the containers, or native processes, that dev and prod run."""
