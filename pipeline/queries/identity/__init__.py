"""Who is who, as people ask and read it: profiles by name, customers, the review queue, what rules would change."""
