"""Contact sheets: single images as they are stored and as a run reads them."""
