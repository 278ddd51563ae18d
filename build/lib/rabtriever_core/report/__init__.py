"""What people see of the numbers: pages, plots, wording."""
