-- Coverage asks for the gaps of each device.
create index on projection.gaps (device, entry_index);
