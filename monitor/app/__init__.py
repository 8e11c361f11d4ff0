"""The program: settings, flags, planning of cameras, the session, reloading, the demo, the doctor."""
