"""What the application is put together of before anything is served."""
