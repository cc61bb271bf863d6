"""Training: data, the loop over epochs, early stopping, histories, what is printed meanwhile."""
