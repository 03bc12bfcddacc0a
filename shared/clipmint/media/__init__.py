"""Images and videos: fetching, checking and storing them."""
