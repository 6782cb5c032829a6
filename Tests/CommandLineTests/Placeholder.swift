// Placeholder of the scaffold.
