"""Old tills, scanners and customer displays on serial ports (docs/serial.md)."""
