"""What leaves the service for a store or a receiver of the user's choosing."""
